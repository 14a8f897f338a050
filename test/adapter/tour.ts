import path from "node:path";
import { Client } from "./client";

const TOUR = path.resolve("media/guests/paging-tour");
export const program = path.join(TOUR, "paging-tour.elf");

/** Path of one of the sample's sources. */
export const sourcePath = (name: string): string => path.join(TOUR, name);

/** A client for each test of the suite, its session ended after it. */
export function eachWithClient(): {
  readonly client: Client;
  onTour(args?: object): Promise<Client>;
} {
  let client = new Client();
  beforeEach(() => {
    client = new Client();
  });
  afterEach(() => client.dispose());
  return {
    get client() {
      return client;
    },
    /** Launches the sample and waits for the stop on entry. */
    async onTour(args = {}) {
      await client.launch({ program, ...args });
      await client.stopped();
      return client;
    },
  };
}
