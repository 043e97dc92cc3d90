/** The part of WebAssembly.Memory that is used here. The types of lib.dom are not asked of users of a library for Node. */
export interface WasmMemory {
  readonly buffer: SharedArrayBuffer;
  /** By pages of 64 KiB; throws where the system has no more. */
  grow(pages: number): number;
}

/** A compiled module. */
export type WasmModule = object;

interface WasmApi {
  readonly Memory: new (limits: { initial: number; maximum: number; shared: true }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => WasmModule;
  readonly Instance: new (module: WasmModule, imports: object) => { readonly exports: unknown };
}

/** The global WebAssembly. */
export const { WebAssembly: Wasm } = globalThis as unknown as { WebAssembly: WasmApi };
