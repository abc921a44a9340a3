export declare const bundle: (options: { readonly entry: string; readonly outfile: string }) => Promise<void>
