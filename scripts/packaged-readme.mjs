// Writes dist/README.md: the README for the .vsix, which has neither the repository's pictures nor
// its other pages. vsce refuses links that lead outside the package.
import { readFileSync, writeFileSync } from "node:fs";

const RELATIVE_IMAGE = /^!\[[^\]]*\]\((?!\w+:)[^)]*\)\n*/gm;
const RELATIVE_LINK = /\[([^\]]*)\]\((?!\w+:|#)[^)]*\)/g;

const text = readFileSync("README.md", "utf8");
writeFileSync("dist/README.md", text.replace(RELATIVE_IMAGE, "").replace(RELATIVE_LINK, "$1"));
