// Numbers, times and positions as people read them.

export const MJD_OF_UNIX_EPOCH = 40587;
export const TAI_MINUS_UTC_S = 37;
const MS_PER_DAY = 86_400_000;

/** A time as MJD TAI, from one in UTC as the API writes it. */
export const mjdOfUtc = (text) => (Date.parse(text) + TAI_MINUS_UTC_S * 1000) / MS_PER_DAY + MJD_OF_UNIX_EPOCH;

/** The time in UTC of an MJD TAI. */
export const dateOfMjd = (mjd) => new Date((mjd - MJD_OF_UNIX_EPOCH) * MS_PER_DAY - TAI_MINUS_UTC_S * 1000);

export const utc = (date) => date.toISOString().slice(0, 19).replace("T", " ");
export const utcOfText = (text) => (text ? utc(new Date(text)) : "");
export const utcOfMjd = (mjd) => utc(dateOfMjd(mjd));

/** A number with so many decimals, a true minus sign, and nothing for none. */
export function fixed(value, decimals) {
  return value === null || value === undefined ? "" : value.toFixed(decimals).replace("-", "−");
}

/** Three significant digits, as fluxes are worth. */
export function significant(value, digits = 3) {
  if (value === null || value === undefined) return "";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-2)) return value.toExponential(digits - 1).replace("-", "−");
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 3 }).replace("-", "−");
}

export const age = (days) => (days === null || days === undefined ? "" : fixed(days, days < 10 ? 1 : 0));

/** "10:00:36.55 −02:15:00.0" of degrees. */
export function sexagesimal(raDeg, decDeg) {
  return `${parts(raDeg / 15, 2)} ${decDeg < 0 ? "−" : "+"}${parts(Math.abs(decDeg), 1)}`;
}

function parts(value, decimals) {
  const unit = 10 ** decimals;
  const total = Math.round(value * 3600 * unit);
  const seconds = ((total / unit) % 60).toFixed(decimals).padStart(3 + decimals, "0");
  const minutes = String(Math.floor(total / unit / 60) % 60).padStart(2, "0");
  return `${String(Math.floor(total / unit / 3600)).padStart(2, "0")}:${minutes}:${seconds}`;
}

/**
 * Read a position: "150.5 -2.25", "150.5, -2.25", "10:02:00 -02:15:00" or "10h02m00s -2d15m00s".
 * @returns {{ra: number, dec: number} | null} degrees.
 */
export function parsePosition(text) {
  const cleaned = text.trim().replaceAll("−", "-").replace(/[°'"hmsd]+/gi, " ").replace(/[:,;]/g, " ");
  const words = cleaned.split(/\s+/).filter(Boolean);
  if (!words.every((word) => /^[+-]?\d+(\.\d*)?$/.test(word))) return null;
  let ra, dec;
  if (words.length === 2) [ra, dec] = words.map(Number);
  else if (words.length === 6) {
    if (words.some((word, index) => index !== 3 && /^[+-]/.test(word))) return null;
    ra = 15 * whole(words.slice(0, 3));
    dec = whole(words.slice(3)) * (words[3].startsWith("-") ? -1 : 1);
  } else return null;
  return ra >= 0 && ra < 360 && Math.abs(dec) <= 90 ? { ra, dec } : null;
}

const whole = ([first, minutes, seconds]) => Math.abs(Number(first)) + Number(minutes) / 60 + Number(seconds) / 3600;

/** Galactic longitude and latitude in degrees (J2000 pole and node: Hipparcos catalogue, volume 1, 1.5.3). */
export function galactic(raDeg, decDeg) {
  const rad = Math.PI / 180;
  const [pole, poleDec, node] = [192.85948 * rad, 27.12825 * rad, 32.93192 * rad];
  const [ra, dec] = [raDeg * rad, decDeg * rad];
  const sinB = Math.sin(dec) * Math.sin(poleDec) + Math.cos(dec) * Math.cos(poleDec) * Math.cos(ra - pole);
  const y = Math.sin(dec) * Math.cos(poleDec) - Math.cos(dec) * Math.sin(poleDec) * Math.cos(ra - pole);
  const x = Math.cos(dec) * Math.sin(ra - pole);
  const l = (Math.atan2(y, x) + node) / rad;
  return { l: ((l % 360) + 360) % 360, b: Math.asin(sinB) / rad };
}
