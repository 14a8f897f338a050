import { atLength } from "./paging-ops/at-length";

atLength(["ept", "npt"]);
