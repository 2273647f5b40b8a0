import { kvmUnitTests } from './suite.ts';

kvmUnitTests(false);
