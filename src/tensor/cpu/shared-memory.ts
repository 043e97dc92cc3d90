import { addressSpace } from '../../platform/address-space.ts';
import type { Threads } from './threads.ts';
import { Wasm, type WasmMemory } from './wasm.ts';

const PAGE = 65536;
/** 4 GiB: what a 32-bit address reaches. */
const MAX_PAGES = 65536;
/** Where TensorFlow shares memory instead of copying it. */
const ALIGNMENT = 64;
/** An empty memory up to this size is kept for the next use; a larger one goes back to the system. */
const WORTH_KEEPING = 2 ** 26;

const GIB = 2 ** 30;
/** Address space that TensorFlow, threads and the rest of the process still take: malloc that fails there ends the process. */
const LEFT_FOR_OTHERS = 2 * GIB;

const LEAST_SCRATCH = 2 ** 18;
/** What weights leave free of a memory, 128 MiB: kernels need room beside them for operands and panels. */
const ROOM_FOR_SCRATCH = 2048;

const aligned = (bytes: number): number => Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);

/** Bytes in a memory that threads, kernels and TensorFlow share. */
export interface Place {
  readonly memory: SharedMemory;
  readonly address: number;
  readonly bytes: number;
}

interface Hole {
  address: number;
  bytes: number;
}

let nextId = 1;

/** A linear memory of WebAssembly that grows up to 4 GiB and hands out aligned places. */
export class SharedMemory {
  readonly id = nextId++;
  readonly memory: WasmMemory = new Wasm.Memory({ initial: 1, maximum: MAX_PAGES, shared: true });
  /** Holes in front of `#end`, by address. */
  #free: Hole[] = [];
  #end = ALIGNMENT; // No place has the address 0.
  #places = 0;
  readonly #scratch = new Map<string, Place>();

  get empty(): boolean {
    return this.#places === 0;
  }

  get bytes(): number {
    return this.memory.buffer.byteLength;
  }

  /** Undefined where there is no room. What is in it is whatever was there before. */
  allocate(bytes: number): Place | undefined {
    const place = this.#take(bytes, MAX_PAGES - ROOM_FOR_SCRATCH);
    if (place !== undefined) this.#places++;
    return place;
  }

  release(place: Place): void {
    this.#places--;
    this.#giveBack(place);
  }

  /** A place of at least `bytes`, the same at each call while it is large enough; it is the memory's own. */
  scratch(use: 'operands' | 'panel', bytes: number): Place | undefined {
    const known = this.#scratch.get(use);
    if (known !== undefined && known.bytes >= bytes) return known;
    if (known !== undefined) this.#giveBack(known);
    this.#scratch.delete(use);
    const place = this.#take(Math.max(bytes, LEAST_SCRATCH), MAX_PAGES);
    if (place !== undefined) this.#scratch.set(use, place);
    return place;
  }

  #take(bytes: number, maxPages: number): Place | undefined {
    const size = aligned(bytes);
    const address = this.#takeHole(size) ?? this.#takeEnd(size, maxPages);
    return address === undefined ? undefined : { memory: this, address, bytes };
  }

  #giveBack({ address, bytes }: Place): void {
    this.#free.push({ address, bytes: aligned(bytes) });
    this.#free.sort((a, b) => a.address - b.address);
    const joined: Hole[] = [];
    for (const hole of this.#free) {
      const before = joined.at(-1);
      if (before && before.address + before.bytes === hole.address) before.bytes += hole.bytes;
      else joined.push(hole);
    }
    const last = joined.at(-1)!;
    if (last.address + last.bytes === this.#end) {
      this.#end = last.address;
      joined.pop();
    }
    this.#free = joined;
  }

  view({ address, bytes }: Place): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, bytes);
  }

  floats(address: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, length);
  }

  #takeHole(size: number): number | undefined {
    const index = this.#free.findIndex((hole) => hole.bytes >= size);
    if (index < 0) return undefined;
    const hole = this.#free[index];
    const { address } = hole;
    hole.address += size;
    hole.bytes -= size;
    if (hole.bytes === 0) this.#free.splice(index, 1);
    return address;
  }

  #takeEnd(size: number, maxPages: number): number | undefined {
    const address = this.#end;
    const pages = Math.ceil((address + size) / PAGE);
    if (pages > maxPages) return undefined;
    const missing = pages - this.memory.buffer.byteLength / PAGE;
    try {
      if (missing > 0) this.memory.grow(missing);
    } catch {
      return undefined; // The system has no more.
    }
    this.#end = address + size;
    return address;
  }
}

/** All shared memories of a process; the threads know each by its number. */
export class SharedMemories {
  /** For what is done to activations alone; weights lie in it where the system gives no memory beside it. */
  readonly own: SharedMemory;
  readonly #threads: Threads;
  #memories: SharedMemory[] = [];

  /** @param own What {@link newSharedMemory} gave. */
  constructor(threads: Threads, own: SharedMemory) {
    this.#threads = threads;
    this.own = own;
    threads.share(own.id, own.memory);
  }

  get count(): number {
    return this.#memories.length;
  }

  /** Undefined where the system has no memory for it. What is in it is whatever was there before. */
  allocate(bytes: number): Place | undefined {
    for (const memory of this.#memories) {
      const place = memory.allocate(bytes);
      if (place !== undefined) return place;
    }
    const memory = newSharedMemory();
    const place = memory?.allocate(bytes);
    if (memory === undefined || place === undefined) return this.own.allocate(bytes);
    this.#memories.push(memory);
    this.#threads.share(memory.id, memory.memory);
    return place;
  }

  release(place: Place): void {
    const { memory } = place;
    memory.release(place);
    if (memory === this.own || !memory.empty || memory.bytes <= WORTH_KEEPING) return;
    this.#memories = this.#memories.filter((other) => other !== memory);
    this.#threads.forget(memory.id);
  }
}

/** A new memory; undefined where the system, or a limit on the address space, leaves no room for one. */
export function newSharedMemory(left: number = addressSpace().left): SharedMemory | undefined {
  if (left < reservation() + LEFT_FOR_OTHERS) return undefined;
  try {
    return new SharedMemory();
  } catch {
    return undefined;
  }
}

/** Address space of a memory: V8 puts guard pages around it instead of checking accesses, unless Node is told not to. */
function reservation(): number {
  const flags = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  return flags.includes('--disable-wasm-trap-handler') ? MAX_PAGES * PAGE : 10 * GIB;
}
