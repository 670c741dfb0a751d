import { type Label, METRICS, type Metric } from './metric-table.ts'

/** The markdown table of all metrics that the README holds. */
export function metricsTable(): string {
  const rows = Object.entries(METRICS as Readonly<Record<string, Metric>>).map(
    ([name, { type, unit, labels, meaning }]) =>
      `| \`${name}\` | ${type} | ${unit} | ${labelsText(labels)} | ${meaning} |`,
  )
  return ['| name | type | unit | labels | meaning |', '| --- | --- | --- | --- | --- |', ...rows].join('\n')
}

function labelsText(labels: Readonly<Record<string, Label>>): string {
  const texts = Object.entries(labels).map(([name, label]) =>
    typeof label === 'string' ? `\`${name}\`` : `\`${name}\` (${label.join(', ')})`,
  )
  return texts.join(', ') || '–'
}
