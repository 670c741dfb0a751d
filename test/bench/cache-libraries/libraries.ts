import { bareRedis } from '../libraries/bare-redis.ts'
import { bentoCache } from '../libraries/bentocache.ts'
import { cacheable } from '../libraries/cacheable.ts'
import { cachifiedLibrary } from '../libraries/cachified.ts'
import { layeredLoader } from '../libraries/layered-loader.ts'
import { tidemark } from '../libraries/tidemark.ts'
import type { Library } from './library.ts'

export const LIBRARIES: readonly Library[] = [
  tidemark,
  bareRedis,
  bentoCache,
  layeredLoader,
  cacheable,
  cachifiedLibrary,
]
