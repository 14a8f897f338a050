// The numbers of DWARF that Penumbra reads, as tables (DWARF 5, chapter 7; GNU extensions as gcc emits them).

/** Tags (7.5.3). */
export const TAG = {
  arrayType: 0x01,
  classType: 0x02,
  enumerationType: 0x04,
  formalParameter: 0x05,
  lexicalBlock: 0x0b,
  member: 0x0d,
  pointerType: 0x0f,
  compileUnit: 0x11,
  structureType: 0x13,
  subroutineType: 0x15,
  typedef: 0x16,
  unionType: 0x17,
  inlinedSubroutine: 0x1d,
  subrangeType: 0x21,
  baseType: 0x24,
  constType: 0x26,
  enumerator: 0x28,
  subprogram: 0x2e,
  variable: 0x34,
  volatileType: 0x35,
  restrictType: 0x37,
  partialUnit: 0x3c,
  atomicType: 0x47,
  callSite: 0x48,
  callSiteParameter: 0x49,
  gnuCallSite: 0x4109,
  gnuCallSiteParameter: 0x410a,
} as const;

/** Attributes (7.5.4). */
export const AT = {
  location: 0x02,
  name: 0x03,
  byteSize: 0x0b,
  statementList: 0x10,
  lowPc: 0x11,
  highPc: 0x12,
  language: 0x13,
  compilationDirectory: 0x1b,
  constValue: 0x1c,
  upperBound: 0x2f,
  abstractOrigin: 0x31,
  count: 0x37,
  dataMemberLocation: 0x38,
  declarationFile: 0x3a,
  declarationLine: 0x3b,
  declaration: 0x3c,
  encoding: 0x3e,
  external: 0x3f,
  frameBase: 0x40,
  specification: 0x47,
  type: 0x49,
  entryPc: 0x52,
  ranges: 0x55,
  callColumn: 0x57,
  callFile: 0x58,
  callLine: 0x59,
  bitOffset: 0x0c,
  bitSize: 0x0d,
  dataBitOffset: 0x6b,
  linkageName: 0x6e,
  stringOffsetsBase: 0x72,
  addressBase: 0x73,
  rangeListsBase: 0x74,
  locationListsBase: 0x8c,
  callReturnPc: 0x7d,
  callValue: 0x7e,
  callOrigin: 0x7f,
  gnuCallSiteValue: 0x2111,
} as const;

/** Forms (7.5.6). */
export const FORM = {
  addr: 0x01,
  block2: 0x03,
  block4: 0x04,
  data2: 0x05,
  data4: 0x06,
  data8: 0x07,
  string: 0x08,
  block: 0x09,
  block1: 0x0a,
  data1: 0x0b,
  flag: 0x0c,
  sdata: 0x0d,
  strp: 0x0e,
  udata: 0x0f,
  refAddr: 0x10,
  ref1: 0x11,
  ref2: 0x12,
  ref4: 0x13,
  ref8: 0x14,
  refUdata: 0x15,
  indirect: 0x16,
  secOffset: 0x17,
  exprloc: 0x18,
  flagPresent: 0x19,
  strx: 0x1a,
  addrx: 0x1b,
  refSup4: 0x1c,
  strpSup: 0x1d,
  data16: 0x1e,
  lineStrp: 0x1f,
  refSig8: 0x20,
  implicitConst: 0x21,
  loclistx: 0x22,
  rnglistx: 0x23,
  refSup8: 0x24,
  strx1: 0x25,
  strx2: 0x26,
  strx3: 0x27,
  strx4: 0x28,
  addrx1: 0x29,
  addrx2: 0x2a,
  addrx3: 0x2b,
  addrx4: 0x2c,
} as const;

/** Kinds of unit header (7.5.1). */
export const UNIT = {
  compile: 1,
  type: 2,
  partial: 3,
  skeleton: 4,
  splitCompile: 5,
  splitType: 6,
} as const;

/** Standard opcodes of line number programs (6.2.5.2). */
export const LINE_OP = {
  extended: 0,
  copy: 1,
  advancePc: 2,
  advanceLine: 3,
  setFile: 4,
  setColumn: 5,
  negateStatement: 6,
  setBasicBlock: 7,
  constAddPc: 8,
  fixedAdvancePc: 9,
  setPrologueEnd: 10,
  setEpilogueBegin: 11,
  setIsa: 12,
} as const;

/** Extended opcodes of line number programs (6.2.5.3). */
export const LINE_EXTENDED = {
  endSequence: 1,
  setAddress: 2,
  defineFile: 3,
  setDiscriminator: 4,
} as const;

/** Contents of file and directory entries (6.2.4.1). */
export const LINE_CONTENT = { path: 1, directoryIndex: 2 } as const;

/** Base type encodings (7.8). */
export const ENCODING = {
  address: 1,
  boolean: 2,
  float: 4,
  signed: 5,
  signedChar: 6,
  unsigned: 7,
  unsignedChar: 8,
  utf: 16,
} as const;

/** `DW_LANG_Mips_Assembler`: what assemblers call themselves. */
export const ASSEMBLY_LANGUAGE = 0x8001;
