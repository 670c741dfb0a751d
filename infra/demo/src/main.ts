import { workerIsKilled } from './chapter-crash.ts'
import { replicaIsHeldBack } from './chapter-held-back.ts'
import { writersReadTheirOwnWrites } from './chapter-own-write.ts'
import { bothCachesAreWarm } from './chapter-warm.ts'
import { Claims } from './claims.ts'
import { complaintsIn } from './log-complaints.ts'
import { milliseconds, Narrator } from './narrator.ts'
import { openStage, type Stage } from './stage.ts'

/**
 * `npm start`: the story of the price that stays old, on real servers, each statement checked as it is made. Then it
 * stays, for whoever wants to look around. `--once` ends instead, with 0 only if every statement held.
 */
const EXIT = { held: 0, broken: 1, usage: 2, interrupted: 130 } as const
const CHAPTERS = [bothCachesAreWarm, replicaIsHeldBack, writersReadTheirOwnWrites, workerIsKilled]
const TAIL_LINES = 200
const MAX_COMPLAINTS = 5

const args = process.argv.slice(2)
if (args.some((arg) => arg !== '--once')) {
  process.stderr.write('usage: npm start [-- --once]\n')
  process.exit(EXIT.usage)
}
process.exit(await run(args.includes('--once')))

async function run(once: boolean): Promise<number> {
  const tell = new Narrator()
  const claims = new Claims((claim) => tell.claim(claim))
  const interruption = interruptedBySignals()
  await using resources = new AsyncDisposableStack()
  tell.title('Tidemark: the price that stays old')
  const stage = await tellStory(tell, claims, interruption, resources)
  if (interruption.aborted) {
    tell.say('Interrupted; stopping all that was started.')
    return EXIT.interrupted
  }
  sayHowItWent(tell, claims)
  if (stage && !once) await stayOpen(stage, interruption)
  tell.aside('Stopping all that was started.')
  return claims.allHeld ? EXIT.held : EXIT.broken
}

/** Whatever keeps the story from its end is a claim that did not hold. */
async function tellStory(
  tell: Narrator,
  claims: Claims,
  interruption: AbortSignal,
  resources: AsyncDisposableStack,
): Promise<Stage | undefined> {
  const death = new AbortController()
  const signal = AbortSignal.any([interruption, death.signal])
  let stage: Stage | undefined
  try {
    stage = await openStage({ tell, claims, signal, resources, onDeath: (error) => death.abort(error) })
    const startedMs = performance.now()
    for (const chapter of CHAPTERS) await chapter(stage)
    tell.aside(`told in ${milliseconds(performance.now() - startedMs)}`)
  } catch (error) {
    if (interruption.aborted) return stage
    claims.claim('the story is told to its end', false, textOf(death.signal.aborted ? death.signal.reason : error))
    if (stage) await showLogs(stage)
  }
  return stage
}

/** The first Ctrl-C ends in good order. At the second the process goes, and what it started is cleared away after it. */
function interruptedBySignals(): AbortSignal {
  const interruption = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (interruption.signal.aborted) process.exit(EXIT.interrupted)
      interruption.abort()
    })
  }
  return interruption.signal
}

function sayHowItWent(tell: Narrator, { made, broken, allHeld }: Claims): void {
  tell.title(allHeld ? `All ${made} statements held.` : `${broken.length} of ${made} statements did not hold.`)
  for (const { statement, seen } of broken) tell.say(`${statement}: ${seen}`)
}

async function showLogs({ services, tell }: Stage): Promise<void> {
  for (const service of Object.values(services)) {
    const complaints = complaintsIn(await service.logTail(TAIL_LINES)).slice(-MAX_COMPLAINTS)
    for (const complaint of complaints) tell.aside(`${service.name}: ${complaint}`)
  }
}

async function stayOpen({ tell, home, away, services, logFolder }: Stage, until: AbortSignal): Promise<void> {
  for (const { name, shop } of [home, away]) tell.say(`shop ${name}: curl -i ${shop.url}/product/1`)
  for (const { name, telemetryUrl } of Object.values(services)) tell.say(`${telemetryUrl}/metrics  ${name}`)
  tell.say(`logs: ${logFolder}`)
  tell.say('Ctrl-C stops everything and removes its data.')
  const { promise, resolve } = Promise.withResolvers<void>()
  // A pending promise alone does not keep a process alive.
  const alive = setInterval(() => undefined, 60_000)
  until.addEventListener('abort', () => resolve(), { once: true })
  await promise
  clearInterval(alive)
}

/** The first line: below it may be the tail of a log, and complaints are shown in short. */
function textOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!
}
