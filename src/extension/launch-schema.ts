import type * as v from 'valibot';
import { type LaunchAttribute, launchAttributes } from '../debugger/configuration/launch-attributes.ts';

/** The part of JSON Schema that package.json needs to describe an attribute of launch.json. */
export interface AttributeSchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly markdownEnumDescriptions?: readonly string[];
  readonly uniqueItems?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly items?: AttributeSchema;
  readonly anyOf?: readonly AttributeSchema[];
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly properties?: Readonly<Record<string, AttributeSchema>>;
  readonly default?: unknown;
  readonly markdownDescription?: string;
}

/** What package.json contributes for `launch`: the debugger's own schema, in the words of VS Code. */
export function launchSchema(): { anyOf: { required: string[] }[]; properties: Record<string, AttributeSchema> } {
  return { anyOf: [{ required: ['program'] }, { required: ['partitions'] }], properties: properties(launchAttributes) };
}

function properties(attributes: Readonly<Record<string, LaunchAttribute>>): Record<string, AttributeSchema> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, { schema, description, default: value, items, words }]) => [
      name,
      {
        ...(items ? { type: 'array', items: { type: 'object', properties: properties(items) } } : describe(schema)),
        ...(words ? { items: choiceOf(words), uniqueItems: true } : {}),
        ...(value === undefined ? {} : { default: value }),
        markdownDescription: description,
      },
    ]),
  );
}

function choiceOf(words: NonNullable<LaunchAttribute['words']>): AttributeSchema {
  return { enum: words.map(({ word }) => word), markdownEnumDescriptions: words.map(({ meaning }) => meaning) };
}

/** Reads a schema by its shape. Throws on a kind that package.json can't say. */
function describe(schema: v.GenericSchema): AttributeSchema {
  const pipe: readonly unknown[] = 'pipe' in schema && Array.isArray(schema.pipe) ? schema.pipe : [];
  const refinements: AttributeSchema = Object.assign({}, ...pipe.map(refinement));
  switch (schema.type) {
    case 'string':
    case 'boolean':
    case 'number':
      return { type: schema.type, ...refinements };
    case 'picklist':
      return { enum: 'options' in schema && Array.isArray(schema.options) ? schema.options : [] };
    case 'array':
      return { type: 'array', items: 'item' in schema ? describe(schema.item as v.GenericSchema) : {} };
    case 'union':
      return { anyOf: 'options' in schema && Array.isArray(schema.options) ? schema.options.map(describe) : [] };
    case 'optional':
      return 'wrapped' in schema ? describe(schema.wrapped as v.GenericSchema) : {};
    case 'strict_object':
      return describeObject('entries' in schema ? (schema.entries as v.ObjectEntries) : {});
    default:
      throw new Error(`launch-schema.ts can't describe a valibot schema of type ${schema.type}; teach it to.`);
  }
}

/** An object that has these entries and no others. */
function describeObject(entries: v.ObjectEntries): AttributeSchema {
  const named = Object.entries(entries);
  return {
    type: 'object',
    properties: Object.fromEntries(named.map(([name, entry]) => [name, describe(entry as v.GenericSchema)])),
    required: named.filter(([, { type }]) => type !== 'optional').map(([name]) => name),
    additionalProperties: false,
  };
}

function refinement(action: unknown): AttributeSchema {
  if (typeof action !== 'object' || action === null || !('type' in action)) return {};
  const requirement = 'requirement' in action ? action.requirement : undefined;
  if (action.type === 'integer') return { type: 'integer' };
  if (action.type === 'min_value') return { minimum: Number(requirement) };
  if (action.type === 'max_value') return { maximum: Number(requirement) };
  // JSON Schema's patterns have no flags.
  if (action.type === 'regex' && requirement instanceof RegExp && requirement.flags === '')
    return { pattern: requirement.source };
  return {};
}
