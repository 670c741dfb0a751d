/** As an SQL identifier, quoted. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** As an SQL string. */
export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** schema.table of a source as a quoted SQL name; the schema is what comes before the first dot. */
export function quoteTable(table: string): string {
  const { schema, name } = splitTable(table)
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}

function splitTable(table: string): { readonly schema: string; readonly name: string } {
  const dot = table.indexOf('.')
  return { schema: table.slice(0, dot), name: table.slice(dot + 1) }
}
