import type { AclEntry } from 'kafkajs'
import kafkajs from 'kafkajs'

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs

const RESOURCES = [
  ['topic', AclResourceTypes.TOPIC],
  ['group', AclResourceTypes.GROUP],
  ['transactional-id', AclResourceTypes.TRANSACTIONAL_ID],
] as const

/** The ACLs that the `kafka-acls.sh` commands of a document would add, one an operation. */
export function aclsOf(document: string): AclEntry[] {
  return [...document.matchAll(/^kafka-acls\.sh .*--add .*$/gm)].flatMap(([command]) => entriesOf(command))
}

function entriesOf(command: string): AclEntry[] {
  const [principal] = valuesOf(command, 'allow-principal')
  return RESOURCES.flatMap(([option, resourceType]) =>
    valuesOf(command, option).flatMap((resourceName) =>
      valuesOf(command, 'operation').map((operation) => ({
        ...{ principal: principal!, host: '*', permissionType: AclPermissionTypes.ALLOW },
        ...{ resourceType, resourceName, resourcePatternType: ResourcePatternTypes.LITERAL },
        operation: AclOperationTypes[operation.toUpperCase() as keyof typeof AclOperationTypes],
      })),
    ),
  )
}

function valuesOf(command: string, option: string): string[] {
  return [...command.matchAll(new RegExp(`--${option} (\\S+)`, 'g'))].map(([, value]) => value!)
}

/** As a person would say it. */
export function nameOf({ principal, operation, resourceType }: AclEntry): string {
  const what = RESOURCES.find(([, type]) => type === resourceType)?.[0]
  const may = Object.entries(AclOperationTypes).find(([, type]) => type === operation)?.[0]
  return `${principal} without ${may} on its ${what}`
}
