/** What the page of the screen and the extension tell each other. */

/** The screen of a partition. */
export interface ScreenSummary {
  readonly partition: number;
  readonly name: string;
  /** The guest has told what it shows. */
  readonly isLit: boolean;
}

export interface ScreenMessage {
  readonly kind: 'screen';
  /** Guests run: what is shown may have changed already. */
  readonly moving: boolean;
  readonly screens: readonly ScreenSummary[];
  /** Number of the partition whose screen is shown. */
  readonly chosen?: number;
  /** Missing where it is the one that the page has. */
  readonly picture?: {
    readonly width: number;
    readonly height: number;
    /** Red, green and blue of each pixel, line by line, in base64. */
    readonly pixels: string;
  };
}

export type HostMessage = ScreenMessage | { readonly kind: 'problem'; readonly text: string };

export type PageMessage =
  /** The page begins and shows nothing yet. */
  { readonly kind: 'ready' } | { readonly kind: 'choose'; readonly partition: number };

/** The screen that a view shows: the chosen one, else the first that is lit, else the first. */
export function shownScreen(screens: readonly ScreenSummary[], chosen: number | undefined): ScreenSummary | undefined {
  return screens.find(({ partition }) => partition === chosen) ?? screens.find(({ isLit }) => isLit) ?? screens[0];
}

/** What stands in the place of a picture; undefined where there is one. */
export function darkText(screens: readonly ScreenSummary[], chosen: number | undefined): string | undefined {
  if (screens.length === 0)
    return 'This guest has no screen. Run it with "platform": "hyperv" and "screen": true in launch.json to have one.';
  return shownScreen(screens, chosen)?.isLit ? undefined : 'The screen is dark: no driver of the guest has told what is on it.';
}

/** Pixels in base64 as a canvas takes them: red, green, blue, opaque. */
export function canvasPixels(base64: string, width: number, height: number): Uint8ClampedArray<ArrayBuffer> {
  const bytes = atob(base64);
  const pixels = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let pixel = 0; pixel < width * height; pixel++)
    for (let part = 0; part < 3; part++) pixels[pixel * 4 + part] = bytes.charCodeAt(pixel * 3 + part);
  return pixels;
}
