import { describeOpRecords } from '../../../test/contract/op-records.contract';
import { describePreparing } from '../../../test/contract/prepared.contract';
import { describeVersionStore, type StoreFactory } from '../../../test/contract/version-store.contract';
import { MemoryVersionStore } from './memory-version-store';

const factory: StoreFactory = {
  fresh: async () => new MemoryVersionStore('Server0'),
  reopen: async (store) => store,
};

describeVersionStore('memory', factory);
describeOpRecords('memory', factory);
describePreparing('memory', factory);
