import type { ArgumentMistakes } from './argument-mistakes.ts'
import type { Flags } from './command.ts'
import type { NamedRedis } from './settings.ts'

/** The region that `--region` names; undefined after a mistake was noted. */
export function regionOf<R extends Pick<NamedRedis, 'name'>>(
  given: Flags[string],
  regions: readonly R[],
  mistakes: ArgumentMistakes,
): R | undefined {
  const region = regions.find(({ name }) => name === given)
  if (region) return region
  const known = regions.map(({ name }) => name).join(', ')
  const which = given === undefined ? 'say which --region' : `--region ${JSON.stringify(given)}: there is none`
  mistakes.add(`${which}; the environment names ${known === '' ? 'no Redis' : known}`)
  return undefined
}

/** That one, or all where none is named. */
export function regionsOf<R extends Pick<NamedRedis, 'name'>>(
  given: Flags[string],
  regions: readonly R[],
  mistakes: ArgumentMistakes,
): readonly R[] {
  if (given === undefined && regions.length > 0) return regions
  const region = regionOf(given, regions, mistakes)
  return region ? [region] : []
}
