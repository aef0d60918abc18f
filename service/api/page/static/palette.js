// Colours of passbands and classes, for a light and a dark ground.

// After Rubin's recommendation (RTN-045); darkened where the contrast on white would be below 3.
const BANDS = {
  light: { u: "#0c71ff", g: "#2b8f42", r: "#c61c00", i: "#a67700", z: "#d9348d", y: "#5d0000" },
  dark: { u: "#3eb7ff", g: "#30c39f", r: "#ff7e00", i: "#2af5ff", z: "#a7f9c1", y: "#fdc900" },
};

// Told apart with every common colour blindness (after Okabe and Ito), by the model's names of classes.
const CLASSES = {
  light: { Ia: "#0072b2", "Ib/c": "#b35900", II: "#00795a", "SLSN-I": "#a6418a", TDE: "#7a5cc9", AGN: "#c03a2b", Other: "#6b7482" },
  dark: { Ia: "#56b4e9", "Ib/c": "#e69f00", II: "#2ecc9a", "SLSN-I": "#e58cc4", TDE: "#b49dff", AGN: "#ff7a66", Other: "#a3adbd" },
};
const FURTHER = {
  light: ["#8a6d00", "#00768a", "#a3365c", "#4f6d1f", "#5b51b8", "#8c4a2f"],
  dark: ["#f0e442", "#52d0e0", "#ff9db8", "#b6d36b", "#aaa4ff", "#e0a585"],
};

/** Whether the page is dark now. */
export function isDark() {
  const theme = document.documentElement.dataset.theme;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

const ground = () => (isDark() ? "dark" : "light");

export const bandColour = (band) => BANDS[ground()][band];

/** The same class has the same colour on every page. */
export function classColour(name) {
  const known = CLASSES[ground()][name];
  if (known) return known;
  const sum = [...(name ?? "")].reduce((total, letter) => total + letter.codePointAt(0), 0);
  return FURTHER[ground()][sum % FURTHER[ground()].length];
}

/** A colour of the style sheet, such as "line". */
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Call when the colours change. */
export const onColours = (redraw) => document.addEventListener("nightjar-theme", redraw);
