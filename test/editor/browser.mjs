// Headless Chromium with a fresh profile: the one from npm, or CHROMIUM=path for another.
import packaged from "@sparticuz/chromium";
import { chromium } from "playwright-core";

export async function launchBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || (await packaged.executablePath()),
    headless: true,
    args: [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--disable-dev-shm-usage",
      // Nothing but this machine is to be asked for.
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
      "--force-color-profile=srgb",
      "--font-render-hinting=none",
    ],
  });
}
