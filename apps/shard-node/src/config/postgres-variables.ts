/**
 * `pg` takes what it is not given from variables such as `PGSSLMODE` and `PGREPLICATION`, and there is no way to give it all. Whoever
 * set them meant another Postgres than ours: where that is stands in `DATABASE_URL` alone, or is known.
 */
export function forgetPostgresVariables(env: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(env)) {
    if (name.startsWith('PG') || name === 'NODE_PG_FORCE_NATIVE') Reflect.deleteProperty(env, name);
  }
}
