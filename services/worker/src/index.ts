export { runWorker, type WorkerOptions, type WorkerTuning } from './worker.ts'
