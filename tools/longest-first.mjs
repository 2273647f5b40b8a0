// The order in which vitest runs files: the longest first, so that no worker begins one when the others are through.
import { BaseSequencer } from 'vitest/node';

/** Orders files by a list of the beginnings of their names, the longest file first; what is not listed follows, as vitest has it. */
export function longestFirst(names) {
  return class extends BaseSequencer {
    async sort(files) {
      const place = ({ moduleId }) => {
        const at = names.findIndex((name) => moduleId.includes(`/${name}.`));
        return at < 0 ? names.length : at;
      };
      return (await super.sort(files)).sort((a, b) => place(a) - place(b));
    }
  };
}
