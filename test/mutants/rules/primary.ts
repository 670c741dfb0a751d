import type { Rule } from '../rule.ts'

const LOAD = 'refill:sources/labelled-load.ts'
const LABELLED = ['refill:sources/labelled-load.test.ts']
const TRUTH = ['refill:read/label-truth.test.ts']
const JUDGE = 'refill:read/judge-loaded.ts'
const JUDGED = ['refill:read/judge-loaded.test.ts']
const ATTEMPT = `const { value, failure } = await attempt(load, db)
      if (failure) throw failure
      signal?.throwIfAborted()
      const standing`
const EARLY = `const early = standingOf((await db.query<StandingRow>(statement)).rows[0]!)
      const { value, failure } = await attempt(load, db)
      if (failure) throw failure
      signal?.throwIfAborted()
      const standing`
const LABEL = '      const label = labelled ? { low: granted, high: maxPosition(granted, standing.reach) } : null'
const UNTIL_LABEL = ` = await standingAfter(db, statement)
      const labelled = granted !== null && isAnnouncedPrimary(standing) && standing.epoch === epochOf(granted)
${LABEL}`
const LABELLED_BY = (label: string) => UNTIL_LABEL.replace(LABEL, `      const label = labelled ? ${label} : null`)

/** 6.3, of the primary */
export const PRIMARY: readonly Rule[] = [
  {
    section: '6.3',
    rule: 'the primary’s L is the lease’s G, and no position read there',
    mutants: [
      {
        name: 'L is the insert LSN before the rows',
        file: LOAD,
        find: ATTEMPT + UNTIL_LABEL,
        replace: EARLY + LABELLED_BY('{ low: early!.position, high: maxPosition(early!.position, standing.reach) }'),
        tests: TRUTH,
      },
      {
        name: 'L is the insert LSN after the rows',
        file: LOAD,
        find: '{ low: granted, high: maxPosition(granted, standing.reach) }',
        replace: '{ low: standing.position, high: standing.reach }',
        tests: TRUTH,
      },
    ],
  },
  {
    section: '6.3',
    rule: 'the primary’s U is the insert LSN read after the rows',
    mutants: [
      {
        name: 'the primary’s U is read before the rows',
        file: LOAD,
        find: ATTEMPT + UNTIL_LABEL,
        replace: EARLY + LABELLED_BY('{ low: granted, high: maxPosition(granted, early!.reach!) }'),
        tests: TRUTH,
      },
      {
        name: 'U is G',
        file: LOAD,
        find: 'high: maxPosition(granted, standing.reach) }',
        replace: 'high: granted }',
        tests: TRUTH,
      },
      {
        name: 'a position within a page header is not rounded down',
        file: 'refill:sources/standing.ts',
        find: 'roundDownInPageHeader(parseLsn(at), segmentBytes)',
        replace: 'parseLsn(at)',
        tests: ['refill:sources/standing.test.ts'],
      },
    ],
  },
  {
    section: '6.3',
    rule: 'the primary is not in recovery, and its epoch is the lease’s',
    mutants: [
      {
        name: 'a standby passes for the primary',
        file: LOAD,
        find: "standing?.role === 'primary' && standing.announced",
        replace: 'standing?.announced === true',
        tests: LABELLED,
      },
      {
        name: 'a primary of an older epoch than the lease’s labels',
        file: LOAD,
        find: ' && standing.epoch === epochOf(granted)',
        replace: '',
        tests: LABELLED,
      },
      {
        name: 'a primary of a newer epoch than the lease’s labels',
        file: LOAD,
        find: 'standing.epoch === epochOf(granted)',
        replace: 'standing.epoch >= epochOf(granted)',
        tests: LABELLED,
      },
    ],
  },
  {
    section: '6.3',
    rule: 'the primary satisfies own by itself, if its epoch is not older than the token’s',
    mutants: [
      {
        name: 'own satisfied by an older epoch',
        file: JUDGE,
        find: '(announced && standing.epoch >= epochOf(terms.demand.own))',
        replace: 'announced',
        tests: JUDGED,
      },
      {
        name: 'own satisfied by a replica',
        file: JUDGE,
        find: '(announced && standing.epoch >= epochOf(terms.demand.own))',
        replace: '((standing?.epoch ?? 0) >= epochOf(terms.demand.own))',
        tests: JUDGED,
      },
      {
        name: 'own not satisfied by the primary',
        file: JUDGE,
        find: 'terms.demand === null || (announced && standing.epoch >= epochOf(terms.demand.own))',
        replace: 'terms.demand === null',
        tests: JUDGED,
      },
    ],
  },
  {
    section: '6.3',
    rule: 'the primary satisfies seen only up to G',
    mutants: [
      {
        name: 'seen satisfied by the primary',
        file: JUDGE,
        find: '{ ...terms.demand, own: ORIGIN } : terms.demand',
        replace: 'null : terms.demand',
        tests: JUDGED,
      },
      {
        name: 'seen satisfied without a label',
        file: JUDGE,
        find: 'return ownIsThere && seenNothing ?',
        replace: 'return ownIsThere ?',
        tests: JUDGED,
      },
      {
        name: 'a session that is ahead of G does not wait for the watermark',
        file: 'refill:read/rounds.ts',
        find: "case 'behind-session': // the watermark is about to come\n      return now < inquiry.watermarkDeadline",
        replace: "case 'behind-session':\n      return false",
        tests: ['refill:session/sessions.server.test.ts'],
        named: 'what cannot be cached is not loaded over and over',
      },
      {
        name: 'a session that is ahead of what the primary shows is loaded for at once, where nothing is cached',
        file: 'refill:read/rounds.ts',
        find: "return seesTooLittle && performance.now() < watermarkDeadline ? 'again' : 'bare'",
        replace: "return 'bare'",
        tests: ['refill:read/bypass.server.test.ts'],
        named: 'a session that has seen more than the primary',
      },
    ],
  },
  {
    section: '6.3',
    rule: 'without a label only an announced primary of the newest epoch is believed, and no longer than the contract’s age',
    mutants: [
      {
        name: 'any server is believed without a label',
        file: JUDGE,
        find: 'if (!announced || standing.epoch <',
        replace: 'if (standing !== null && standing.epoch <',
        tests: JUDGED,
      },
      {
        name: 'the epoch of the view in hand is enough',
        file: JUDGE,
        find: 'Math.max(terms.announcedEpoch, view === null ? 0 : epochOfView(view))',
        replace: '(view === null ? 0 : epochOfView(view))',
        tests: JUDGED,
      },
      {
        name: 'the epoch of the view in hand is forgotten',
        file: JUDGE,
        find: 'Math.max(terms.announcedEpoch, view === null ? 0 : epochOfView(view))',
        replace: 'terms.announcedEpoch',
        tests: JUDGED,
      },
      {
        name: 'an unlabelled load does not age',
        file: JUDGE,
        find: 'if (loadedAt === null || now - loadedAt > terms.contract.maxStalenessMs) return',
        replace: 'if (loadedAt === null) return',
        tests: JUDGED,
      },
    ],
  },
  {
    section: '7',
    rule: 'a load from the primary is as old as its beginning',
    mutants: [
      {
        name: 'a load is as new as its end',
        file: LOAD,
        find: 'return { value: value as Value, label, loadedAt, standing }',
        replace: 'return { value: value as Value, label, loadedAt: now(), standing }',
        tests: TRUTH,
      },
    ],
  },
]
