/** Version of the package; the bundler puts it in. */
export const version: string = process.env.HYPERSCOPE_VERSION ?? 'in development';
