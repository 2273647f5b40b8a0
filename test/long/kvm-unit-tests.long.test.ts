import { kvmUnitTests } from '../kvm-unit-tests/suite.ts';

kvmUnitTests(true);
