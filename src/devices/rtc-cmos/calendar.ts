/** A date and time of the Gregorian calendar, UTC. */
export interface CalendarTime {
  readonly year: number;
  /** 1–12. */
  readonly month: number;
  /** 1–31. */
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** 0 Sunday – 6 Saturday. */
  readonly weekday: number;
}

const DAY = 86_400n;
/** Days from 1 March of year 0 to 1 January 1970. */
const EPOCH = 719_468n;
const ERA = 146_097n;

/**
 * Seconds since 1970 as a calendar date. Years are counted from March, so that the leap day comes last and month lengths
 * follow one linear rule (153 days in five months).
 */
export function toCalendar(seconds: bigint): CalendarTime {
  const days = floorDiv(seconds, DAY);
  const rest = Number(seconds - days * DAY);
  const shifted = days + EPOCH;
  const era = floorDiv(shifted, ERA);
  const dayOfEra = Number(shifted - era * ERA);
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return {
    year: Number(era) * 400 + yearOfEra + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
    hour: Math.floor(rest / 3600),
    minute: Math.floor(rest / 60) % 60,
    second: rest % 60,
    weekday: Number((((days + 4n) % 7n) + 7n) % 7n),
  };
}

/** The inverse of {@link toCalendar}; fields out of range carry over. */
export function fromCalendar(time: Omit<CalendarTime, 'weekday'>): bigint {
  const monthIndex = time.month - 1;
  const year = time.year + Math.floor(monthIndex / 12) - (((monthIndex % 12) + 12) % 12 < 2 ? 1 : 0);
  const month = ((monthIndex % 12) + 12) % 12;
  const era = Math.floor(year / 400);
  const yearOfEra = year - era * 400;
  const dayOfYear = Math.floor((153 * ((month + 10) % 12) + 2) / 5) + time.day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  const days = BigInt(era) * ERA + BigInt(dayOfEra) - EPOCH;
  return days * DAY + BigInt(time.hour * 3600 + time.minute * 60 + time.second);
}

function floorDiv(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}
