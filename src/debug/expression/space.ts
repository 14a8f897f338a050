/** The six address types of the language; gfn and pfn are frame numbers. */
export const ADDRESS_SPACES = ["gva", "gpa", "hva", "hpa", "gfn", "pfn"] as const;
export type AddressSpace = (typeof ADDRESS_SPACES)[number];

export const SPACE_NAMES: Readonly<Record<AddressSpace, string>> = {
  gva: "guest virtual address",
  gpa: "guest physical address",
  hva: "host virtual address",
  hpa: "host physical address",
  gfn: "guest frame number",
  pfn: "host frame number",
};
