import { regionSource } from './region-source.ts'

/** The source of a region, for services that run as processes of their own; the test names it. */
export default regionSource(process.env.TIDEMARK_TEST_NAME ?? 'region')
