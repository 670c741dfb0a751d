import { appsSource } from './apps-source.ts'

/** The source of the app processes, for services that run as processes of their own; the test names it. */
export default appsSource(process.env.TIDEMARK_TEST_NAME ?? 'apps')
