import assert from "node:assert/strict";
import { ActiveList, PageHash } from "../../../src/kvm/mmu/page-lists";
import { ShadowPage } from "../../../src/kvm/mmu/shadow-page";
import { gfn, hpa } from "../../../src/x86";

const page = (serial: number, frame = serial): ShadowPage =>
  new ShadowPage(
    { gfn: gfn(frame), role: 0x3781 },
    { spt: hpa(0), base: 0 },
    { serial, mmuValidGen: 0, gpteExt: 0 },
  );
const serials = (list: Iterable<ShadowPage>): number[] => [...list].map(({ serial }) => serial);
const backwards = (list: ActiveList): number[] => {
  const found: number[] = [];
  for (let each = list.tail; each; each = each.newer) found.push(each.serial);
  return found;
};

describe("the active list", () => {
  it("has the newest page at its head, and reads the same from both ends", () => {
    const list = new ActiveList();
    for (const n of [1, 2, 3]) list.add(page(n));
    assert.deepEqual(serials(list), [3, 2, 1]);
    assert.deepEqual(backwards(list), [1, 2, 3]);
  });

  for (const gone of [0, 1, 2])
    it(`closes the gap where page ${gone} of three is taken out, and lets go of it`, () => {
      const list = new ActiveList();
      const pages = [page(0), page(1), page(2)];
      for (const each of pages) list.add(each);
      const out = pages[gone]!;
      list.remove(out);
      const rest = [0, 1, 2].filter((n) => n !== gone);
      assert.deepEqual(backwards(list), rest);
      assert.deepEqual(serials(list), rest.reverse());
      assert.deepEqual([out.newer, out.older], [undefined, undefined]);
    });
});

describe("the hash of shadow pages", () => {
  it("F-005 finds the newest page of a gfn first, and forgets what is removed", () => {
    const hash = new PageHash(4096);
    const [older, newer] = [page(0, 9), page(1, 9)];
    hash.insert(older);
    hash.insert(newer);
    assert.deepEqual(serials(hash.bucket(gfn(9))), [1, 0]);
    hash.remove(newer);
    assert.deepEqual(serials(hash.matching(gfn(9), 0x3781)), [0]);
    assert.throws(() => hash.remove(newer), /no page 1 for gfn 9/);
    hash.clear();
    assert.equal(hash.bucket(gfn(9)).length, 0);
  });
});
