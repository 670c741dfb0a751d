import { bulkSource } from './bulk-source.ts'

export default bulkSource(process.env.TIDEMARK_TEST_NAME ?? 'bulk')
