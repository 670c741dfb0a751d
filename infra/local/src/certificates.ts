import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generate, type SelfsignedOptions } from 'selfsigned'

/** PEM files on this machine. */
export interface Certificate {
  readonly certFile: string
  /** PKCS#8, not encrypted. */
  readonly keyFile: string
}

export interface ServerCertificateOptions {
  /** What clients may call the server; `127.0.0.1` and `localhost` unless given. */
  readonly addresses?: readonly string[]
  /** True for one that ran out yesterday. */
  readonly expired?: boolean
}

interface Purpose extends SelfsignedOptions {
  readonly name: string
}

const DAY_MS = 86_400_000
const LOOPBACK = ['127.0.0.1', 'localhost']

/** Signs certificates for servers and clients of tests; two authorities do not know each other. */
export class CertificateAuthority {
  /** What verifies everything that it signed. */
  readonly certFile: string
  readonly #folder: string
  readonly #signer: { readonly cert: string; readonly key: string }

  private constructor(folder: string, signer: { readonly cert: string; readonly key: string }) {
    this.#folder = folder
    this.#signer = signer
    this.certFile = join(folder, 'ca.crt')
  }

  /** @param folder holds its files and those of all that it signs */
  static async create(folder: string): Promise<CertificateAuthority> {
    await mkdir(folder, { recursive: true })
    // Of one name, two authorities would be taken for one whose signatures are broken.
    const name = `Tidemark test authority ${randomUUID()}`
    const made = await generate([{ name: 'commonName', value: name }], {
      ...validity(-DAY_MS, DAY_MS),
      ...ELLIPTIC,
      extensions: [
        { name: 'basicConstraints', cA: true, critical: true },
        { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
      ],
    })
    const authority = new CertificateAuthority(folder, { cert: made.cert, key: made.private })
    await writeFile(authority.certFile, made.cert)
    return authority
  }

  async server(name: string, options: ServerCertificateOptions = {}): Promise<Certificate> {
    const { addresses = LOOPBACK, expired = false } = options
    return this.#sign({
      name,
      ...(expired ? validity(-2 * DAY_MS, -DAY_MS) : validity(-DAY_MS, DAY_MS)),
      extensions: [
        { name: 'extKeyUsage', serverAuth: true },
        { name: 'subjectAltName', altNames: addresses.map(alternativeName) },
      ],
    })
  }

  /** A client's; servers know it by this name. */
  async client(name: string): Promise<Certificate> {
    return this.#sign({ name, ...validity(-DAY_MS, DAY_MS), extensions: [{ name: 'extKeyUsage', clientAuth: true }] })
  }

  async #sign({ name, ...options }: Purpose): Promise<Certificate> {
    const made = await generate([{ name: 'commonName', value: name }], {
      ...ELLIPTIC,
      ...options,
      ca: this.#signer,
    })
    const [certFile, keyFile] = [join(this.#folder, `${name}.crt`), join(this.#folder, `${name}.key`)]
    await writeFile(certFile, made.cert)
    await writeFile(keyFile, made.private, { mode: 0o600 })
    return { certFile, keyFile }
  }
}

/** Made in milliseconds, where an RSA key takes a second. */
const ELLIPTIC = { keyType: 'ec', algorithm: 'sha256' } as const

function validity(fromMs: number, toMs: number) {
  const nowMs = Date.now()
  return { notBeforeDate: new Date(nowMs + fromMs), notAfterDate: new Date(nowMs + toMs) }
}

function alternativeName(address: string) {
  return /^[\d.]+$/.test(address) ? ({ type: 7, ip: address } as const) : ({ type: 2, value: address } as const)
}
