/** Per database: the settings that its promises rest on. */
import { mebibytes, type Setting } from "./setting.ts"

const yes = (value: string): boolean => ["1", "on", "yes"].includes(value.toLowerCase())

export const mysql: ReadonlyArray<Setting> = [
  {
    name: "innodb_flush_log_at_trx_commit",
    isWell: (value) => value === "1",
    otherwise: "problem",
    advice: "set it to 1: with another value a crash of the server or of its machine loses commits"
  },
  {
    name: "sync_binlog",
    isWell: (value) => value === "1",
    otherwise: "warning",
    advice: "set it to 1 where the binary log feeds replicas or restores: what it lacks after a crash is lost to them"
  },
  {
    name: "innodb_doublewrite",
    isWell: (value) => !/^(0|off)/i.test(value),
    otherwise: "warning",
    advice: "turn it on unless the file system writes whole pages: a page that was half written cannot be read again"
  },
  {
    name: "innodb_log_file_size",
    isWell: (value) => mebibytes(value) >= 512,
    otherwise: "warning",
    advice: "set it to 512M or more where many transactions commit: all of them stall when the redo log is full"
  },
  {
    name: "innodb_redo_log_capacity",
    isWell: (value) => mebibytes(value) >= 512,
    otherwise: "warning",
    advice: "set it to 512M or more where many transactions commit: all of them stall when the redo log is full"
  },
  {
    name: "max_allowed_packet",
    isWell: (value) => mebibytes(value) >= 16,
    otherwise: "warning",
    advice: "set it to 16M or more: several events of a transaction are stored by one statement, which has to fit"
  },
  {
    name: "transaction_isolation",
    isWell: (value) => value.toUpperCase() !== "READ-UNCOMMITTED",
    otherwise: "problem",
    advice: "choose READ-COMMITTED or REPEATABLE-READ: at READ-UNCOMMITTED programs see what is rolled back"
  },
  {
    name: "read_only",
    isWell: (value) => !yes(value),
    otherwise: "problem",
    advice: "connect to the primary: nothing can be stored or settled here"
  }
]

export const postgres: ReadonlyArray<Setting> = [
  {
    name: "synchronous_commit",
    isWell: (value) => value !== "off",
    otherwise: "problem",
    advice: "set it to on: when it is off a crash loses the last commits, and their events with them"
  },
  {
    name: "fsync",
    isWell: yes,
    otherwise: "problem",
    advice: "turn it on: without it a crash of the machine can destroy the database"
  },
  {
    name: "full_page_writes",
    isWell: yes,
    otherwise: "warning",
    advice: "turn it on unless the file system writes whole pages: a page that was half written cannot be read again"
  },
  {
    name: "autovacuum",
    isWell: yes,
    otherwise: "problem",
    advice: "turn it on: without it each poll walks past everything that was ever delivered"
  },
  {
    name: "default_transaction_isolation",
    isWell: (value) => value !== "read uncommitted",
    otherwise: "warning",
    advice: "choose read committed: PostgreSQL treats the other as the same"
  },
  {
    name: "default_transaction_read_only",
    isWell: (value) => !yes(value),
    otherwise: "problem",
    advice: "turn it off for this user or database: nothing can be stored or settled"
  },
  {
    name: "is_in_recovery",
    isWell: (value) => value === "false",
    otherwise: "problem",
    advice: "connect to the primary: this is a standby"
  }
]

export const sqlite: ReadonlyArray<Setting> = [
  {
    name: "journal_mode",
    isWell: (value) => !["off", "memory"].includes(value),
    otherwise: "problem",
    advice: "use wal or delete: without a journal on disk a crash can destroy the database"
  },
  {
    name: "integrity",
    isWell: (value) => value === "ok",
    otherwise: "problem",
    advice: "restore the file from a backup: it is damaged"
  }
]
