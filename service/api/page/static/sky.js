// Where an object is: numbers, a map of the whole sky, and links to archives, which are only links.

import { h, svg } from "./dom.js";
import { fixed, galactic, sexagesimal } from "./format.js";

const RAD = Math.PI / 180;
const [HALF_WIDTH, HALF_HEIGHT] = [158, 79];

/** Show a position, or that there is none. */
export function skyOf({ ra_deg: ra, dec_deg: dec, survey, object_id: name }) {
  const links = h("ul", { class: "archives", "aria-label": "Archives" }, ...archives(survey, name, ra, dec).map(([label, href]) =>
    h("li", {}, h("a", { href, target: "_blank", rel: "noopener noreferrer" }, label)),
  ));
  if (ra === null || dec === null) return [h("p", { class: "dim" }, "No position was reported."), links];
  const { l, b } = galactic(ra, dec);
  const [hours, degrees] = sexagesimal(ra, dec).split(" ");
  const facts = h(
    "dl",
    { class: "facts" },
    ...[
      ["RA", `${fixed(ra, 6)}°  ${hours}`],
      ["Dec", `${fixed(dec, 6)}°  ${degrees}`],
      ["l, b", `${fixed(l, 3)}°  ${fixed(b, 3)}°`],
    ].flatMap(([term, value]) => [h("dt", {}, term), h("dd", { class: "mono" }, value)]),
  );
  return [map(ra, dec), facts, links];
}

/** The whole sky in equatorial coordinates (Hammer's projection, east to the left), with the plane of the Milky Way. */
function map(ra, dec) {
  const [x, y] = project(ra, dec);
  return svg(
    "svg",
    { class: "sky-map", viewBox: `${-HALF_WIDTH - 3} ${-HALF_HEIGHT - 3} ${2 * HALF_WIDTH + 6} ${2 * HALF_HEIGHT + 6}`, role: "img", "aria-label": "Position on a map of the whole sky; dashed, the plane of the Milky Way" },
    svg("ellipse", { class: "globe", rx: HALF_WIDTH, ry: HALF_HEIGHT }),
    ...[-60, -30, 0, 30, 60].map((parallel) => svg("path", { class: "grid", d: path(range(-180, 180, 5).map((lon) => [180 + lon, parallel])) })),
    ...[60, 120, 180, 240, 300].map((meridian) => svg("path", { class: "grid", d: path(range(-90, 90, 5).map((lat) => [meridian, lat])) })),
    svg("path", { class: "plane", d: path(range(0, 360, 3).map(planePoint)) }),
    svg("circle", { class: "here", cx: x, cy: y, r: 4.5 }),
  );
}

const range = (from, to, step) => Array.from({ length: (to - from) / step + 1 }, (_, index) => from + index * step);

function project(ra, dec) {
  const lon = (180 - ra) * RAD; // RA 180 in the middle, growing to the left
  const lat = dec * RAD;
  const scale = 1 / Math.sqrt(1 + Math.cos(lat) * Math.cos(lon / 2));
  return [HALF_WIDTH * scale * Math.cos(lat) * Math.sin(lon / 2), -HALF_HEIGHT * scale * Math.sin(lat)];
}

/** A line through points; it is broken where it leaves the map at one side. */
function path(points) {
  let previous = null;
  return points
    .map(([ra, dec]) => {
      const [x, y] = project(ra, dec);
      const letter = previous === null || Math.abs(ra - previous) > 180 ? "M" : "L";
      previous = ra;
      return `${letter}${x.toFixed(1)} ${y.toFixed(1)}`;
    })
    .join("");
}

/** A point of the Galactic equator (the inverse of `galactic` at latitude 0). */
function planePoint(longitude) {
  const [pole, poleDec, node] = [192.85948, 27.12825 * RAD, 32.93192];
  const angle = (longitude - node) * RAD;
  const dec = Math.asin(Math.sin(angle) * Math.cos(poleDec));
  const ra = pole + Math.atan2(Math.cos(angle), -Math.sin(angle) * Math.sin(poleDec)) / RAD;
  return [((ra % 360) + 360) % 360, dec / RAD];
}

function archives(survey, name, ra, dec) {
  const id = encodeURIComponent(name);
  const brokers = {
    ztf: [
      ["ALeRCE", `https://alerce.online/object/${id}`],
      ["Fink", `https://ztf.fink-portal.org/${id}`],
      ["Lasair", `https://lasair-ztf.lsst.ac.uk/objects/${id}/`],
      ["ANTARES", `https://antares.noirlab.edu/loci?query=%7B%22currentPage%22%3A1%2C%22filters%22%3A%5B%7B%22type%22%3A%22query_string%22%2C%22field%22%3A%7B%22query%22%3A%22${id}%22%7D%7D%5D%7D`],
    ],
    lsst: /^\d+$/.test(name)
      ? [
          ["Fink", `https://lsst.fink-portal.org/${id}`],
          ["Lasair", `https://lasair.lsst.ac.uk/objects/${id}/`],
        ]
      : [],
    elasticc: [],
  };
  if (ra === null || dec === null) return brokers[survey];
  const signed = `${dec < 0 ? "" : "+"}${dec}`;
  return [
    ...brokers[survey],
    ["TNS", `https://www.wis-tns.org/search?ra=${ra}&decl=${dec}&radius=5&coords_unit=arcsec`],
    ["SIMBAD", `https://simbad.cds.unistra.fr/simbad/sim-coo?Coord=${ra}${encodeURIComponent(signed)}&Radius=30&Radius.unit=arcsec`],
    ["NED", `https://ned.ipac.caltech.edu/conesearch?search_type=Near%20Position%20Search&ra=${ra}d&dec=${dec}d&radius=0.5&in_csys=Equatorial&in_equinox=J2000`],
    ["VizieR", `https://vizier.cds.unistra.fr/viz-bin/VizieR-4?-c=${ra}${encodeURIComponent(signed)}&-c.rs=10`],
    ["Aladin Lite", `https://aladin.cds.unistra.fr/AladinLite/?target=${ra}%20${encodeURIComponent(signed)}&fov=0.05`],
    ["Legacy Surveys", `https://www.legacysurvey.org/viewer?ra=${ra}&dec=${dec}&layer=ls-dr10&zoom=16`],
    ["Pan-STARRS", `https://ps1images.stsci.edu/cgi-bin/ps1cutouts?pos=${ra}${encodeURIComponent(signed)}&filter=color`],
  ];
}
