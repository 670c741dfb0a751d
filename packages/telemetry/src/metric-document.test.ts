import { readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { metricsTable } from './metric-document.ts'
import { METRICS, type Metric } from './metric-table.ts'

const table = Object.entries(METRICS as Record<string, Metric>)

test('the README holds the table of metrics, whole and alone', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  // The formatter pads the columns.
  const unpadded = readme.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---')
  expect(unpadded).toContain(`\n\n${metricsTable()}\n\n`)
  expect(unpadded.match(/^\| `[a-z_]+` \|/gm)).toHaveLength(table.length)
})

test.each(table)('%s keeps to the conventions of Prometheus', (name, { type, unit, labels, meaning }) => {
  expect(name).toMatch(/^[a-z]+(_[a-z]+)*$/)
  expect(name.endsWith('_total')).toBe(type === 'counter')
  expect(name.endsWith('_seconds')).toBe(unit === 's')
  expect(name.endsWith('_bytes')).toBe(unit === 'By')
  expect(meaning).toMatch(/^[\x20-\x7e]+\.$/)
  // What grows with the data is no label.
  expect(Object.keys(labels)).not.toContain('key')
})
