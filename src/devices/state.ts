/** Checks the version of a saved device state; throws one sentence when this program can't read it. */
export function requireVersion(name: string, state: { readonly version: number }, version: number): void {
  if (state.version !== version)
    throw new Error(
      `The saved state of ${name} has version ${state.version}, but this program reads version ${version}; save it again with this one.`,
    );
}
