import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * The order in which vitest runs files, by a list of the beginnings of their names: the longest file first, so that no worker begins one
 * when the others are through. What is not listed follows, as vitest has it.
 */
export function longestFirst(names: readonly string[]): typeof BaseSequencer {
  const place = ({ moduleId }: TestSpecification): number => {
    const at = names.findIndex((name) => moduleId.includes(`/${name}.`));
    return at < 0 ? names.length : at;
  };
  return class extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      return (await super.sort(files)).sort((a, b) => place(a) - place(b));
    }
  };
}
