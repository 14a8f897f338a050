import assert from "node:assert/strict";
import { KERNELS, runKernel } from "./kernels";

describe("benchmark kernels", () => {
  for (const kernel of KERNELS) {
    it(`${kernel.name} gives the result of a real processor`, () => {
      assert.equal(runKernel(kernel, 20n).result, kernel.expectedOf20);
    });
  }
});
