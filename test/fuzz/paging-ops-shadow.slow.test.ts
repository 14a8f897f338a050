import { atLength } from "./paging-ops/at-length";

atLength(["none", "shadow"]);
