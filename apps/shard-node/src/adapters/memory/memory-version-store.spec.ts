import { describeVersionStore } from '../../../test/contract/version-store.contract';
import { MemoryVersionStore } from './memory-version-store';

describeVersionStore('memory', {
  fresh: async () => new MemoryVersionStore('Server0'),
  reopen: async (store) => store,
});
