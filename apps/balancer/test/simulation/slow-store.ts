/** A replica's store as its process sees it: what it reads is the disk, what it writes goes through the simulation's hands. */
import type { MemoryVersionStore } from '../../../shard-node/src/adapters/memory/memory-version-store';
import type { VersionStore } from '../../../shard-node/src/ports/version-store';

type Args<K extends keyof VersionStore> = Parameters<VersionStore[K]>;

export class SlowStore implements VersionStore {
  constructor(
    private readonly disk: MemoryVersionStore,
    readonly transact: VersionStore['transact'],
  ) {}

  load(): ReturnType<VersionStore['load']> {
    return this.disk.load();
  }
  readRange(...args: Args<'readRange'>): ReturnType<VersionStore['readRange']> {
    return this.disk.readRange(...args);
  }
  readKeys(...args: Args<'readKeys'>): ReturnType<VersionStore['readKeys']> {
    return this.disk.readKeys(...args);
  }
  copyPage(...args: Args<'copyPage'>): ReturnType<VersionStore['copyPage']> {
    return this.disk.copyPage(...args);
  }
  recordPage(...args: Args<'recordPage'>): ReturnType<VersionStore['recordPage']> {
    return this.disk.recordPage(...args);
  }
  findRecords(...args: Args<'findRecords'>): ReturnType<VersionStore['findRecords']> {
    return this.disk.findRecords(...args);
  }
  digestRecords(...args: Args<'digestRecords'>): ReturnType<VersionStore['digestRecords']> {
    return this.disk.digestRecords(...args);
  }
  digestPage(...args: Args<'digestPage'>): ReturnType<VersionStore['digestPage']> {
    return this.disk.digestPage(...args);
  }
  digestWithin(...args: Args<'digestWithin'>): ReturnType<VersionStore['digestWithin']> {
    return this.disk.digestWithin(...args);
  }
  sweep(): Promise<void> {
    return this.disk.sweep();
  }
  probe(): Promise<void> {
    return this.disk.probe();
  }
  close(): Promise<void> {
    return this.disk.close();
  }
}
