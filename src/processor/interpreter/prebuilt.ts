/**
 * The interpreter's module as base64, where it was generated beforehand: tools/build.mjs puts it into bundles, from the same
 * sources, since generating it takes a tenth of a second at each start. Undefined everywhere else: tests and tools generate it.
 */
export const prebuiltModule: string | undefined = undefined;
