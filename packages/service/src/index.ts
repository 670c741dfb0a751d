export { backoffDelayMs, cancellableSleep, outageLevel, type Retry, type RetryOptions, retrying } from './backoff.ts'
export { withDeadline } from './deadline.ts'
export { EXIT, type RunContext, runService, type Service } from './process-life.ts'
export { redactUrls } from './redaction.ts'
export { type Logger, serviceLog } from './service-log.ts'
export {
  type Environment,
  misspeltSettings,
  readSettings,
  type SettingsSchema,
  serverUrl,
  serviceSettings,
} from './settings.ts'
export { sampleEnvironment, settingsTable, withSettingsTable } from './settings-document.ts'
export { SettingsMistakes } from './settings-mistakes.ts'
export { loadSource } from './source-file.ts'
export { readTlsFiles, type TlsFileNames, type TlsPems } from './tls-files.ts'
export { tlsRefusal } from './tls-refusal.ts'
