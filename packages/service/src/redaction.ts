/**
 * Takes the passwords out of URLs in a line of text. It would rather take too much than too little: a password may
 * itself hold `@` or `/`, so all up to the last `@` of the word goes. A quote ends the word, so that a line of JSON
 * stays one; an escaped character does not.
 */
export function redactUrls(text: string): string {
  return text
    .replace(/([A-Za-z][A-Za-z0-9+.-]*:\/\/[^\s"\\:/]*:)(?:[^\s"\\]|\\.)*@/g, '$1***@')
    .replace(/([?&][A-Za-z_]*(?:password|secret|token)=)(?:[^\s"\\&]|\\.)*/gi, '$1***')
}

/** Whether a value may carry credentials: then it is not shown at all, for it may not even be a well-formed URL. */
export function mayHoldCredentials(value: string): boolean {
  return value.includes('@') || redactUrls(value) !== value
}
