// Step 2 of the pipeline (spec sections 2 and 3).

import { MAX_EXP_MS, SKEW_MS, type Commit } from "../commit.js";
import { Refusal } from "../refusal.js";

/** Step 2 for an enclave whose last event was at `last`. */
export function judgeTime(commit: Commit, now: number, last: number = 0): number {
  if (last > now + SKEW_MS) throw new Refusal("clock_behind", { time: now });
  const t = Math.max(now, last);
  if (commit.exp < t - SKEW_MS) throw new Refusal("expired", { time: t });
  if (commit.exp > t + MAX_EXP_MS) throw new Refusal("exp_too_far", { time: t });
  return t;
}

