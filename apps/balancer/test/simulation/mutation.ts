import type { Mutations } from './simulation';

/** What is broken, and within how many seeds, from the first that is tried, that must show. */
export interface Mutation {
  /** Which of the ten points of the protocol's additions is turned off. */
  point: number;
  name: string;
  fromSeed: number;
  withinSeeds: number;
  mutations: () => Mutations;
}
