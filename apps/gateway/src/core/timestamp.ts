/**
 * Points in time as ISO 8601 texts with a zone, checked to be real, and written as UTC.
 *
 * Done by hand because `Date` knows neither microseconds nor that 30 February is wrong.
 */
import { withoutEndingZeros } from './numeral';

const ISO =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,6}))?)?(?:([Zz])|([+-])(\d{2})(?::?(\d{2}))?)$/;
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const MINUTES_PER_DAY = 24 * 60;
/** Postgres takes no zone further from UTC. */
const MAX_OFFSET_HOURS = 15;

interface CalendarDay {
  year: number;
  month: number;
  day: number;
}

/**
 * The same instant as `2024-02-29T12:00:00.5Z`: years 0001 to 9999, at most six digits of a second, none of them a zero at
 * the end. Null when the text is no such instant.
 */
export function toUtcTimestamp(text: string): string | null {
  const match = ISO.exec(text);
  if (match === null) return null;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((part: string | undefined) => Number(part ?? 0));
  const fraction = withoutEndingZeros(match[7] ?? '');
  if (!isRealDay({ year, month, day }) || hour > 23 || minute > 59 || second > 59) return null;
  const offset = offsetMinutes(match[8], match[9], match[10], match[11]);
  if (offset === null) return null;

  const minutes = hour * 60 + minute - offset;
  const utcDay = addDays({ year, month, day }, Math.floor(minutes / MINUTES_PER_DAY));
  if (utcDay.year < 1 || utcDay.year > 9999) return null;
  const utcMinutes = ((minutes % MINUTES_PER_DAY) + MINUTES_PER_DAY) % MINUTES_PER_DAY;
  const date = `${pad(utcDay.year, 4)}-${pad(utcDay.month)}-${pad(utcDay.day)}`;
  const time = `${pad(Math.floor(utcMinutes / 60))}:${pad(utcMinutes % 60)}:${pad(second)}`;
  return `${date}T${time}${fraction === '' ? '' : `.${fraction}`}Z`;
}

/** Minutes that the zone is ahead of UTC; null when there is no such zone. */
function offsetMinutes(utc?: string, sign?: string, hours = '0', minutes = '0'): number | null {
  if (utc !== undefined) return 0;
  if (Number(hours) > MAX_OFFSET_HOURS || Number(minutes) > 59) return null;
  const offset = Number(hours) * 60 + Number(minutes);
  return sign === '-' ? -offset : offset;
}

function isRealDay({ year, month, day }: CalendarDay): boolean {
  return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month);
}

function daysIn(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return month === 2 && leap ? 29 : (DAYS[month - 1] ?? 0);
}

/** `days` is -1, 0 or 1: no zone is further away. */
function addDays({ year, month, day }: CalendarDay, days: number): CalendarDay {
  const moved = day + days;
  if (moved >= 1 && moved <= daysIn(year, month)) return { year, month, day: moved };
  if (moved < 1) {
    return month > 1
      ? { year, month: month - 1, day: daysIn(year, month - 1) }
      : { year: year - 1, month: 12, day: 31 };
  }
  return month < 12 ? { year, month: month + 1, day: 1 } : { year: year + 1, month: 1, day: 1 };
}

function pad(number: number, width = 2): string {
  return String(number).padStart(width, '0');
}
