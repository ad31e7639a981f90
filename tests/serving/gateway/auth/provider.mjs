// A real OpenID provider for the tests: node provider.mjs <oidc-provider's folder> <issuer> <redirect>
const [folder, issuer, redirect] = process.argv.slice(2);
const { default: Provider } = await import(`${folder}/lib/index.js`);
const api = 'luciole';
const provider = new Provider(issuer, {
  clients: [{
    client_id: 'studio', client_secret: 'studio-secret', redirect_uris: [redirect],
    grant_types: ['authorization_code'], response_types: ['code'],
  }],
  pkce: { required: () => true },
  claims: { openid: ['sub', 'team'], email: ['email'] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.org`, team: 'film' }),
  }),
  features: {
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: () => ({
        scope: 'read generate', audience: api, accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});
provider.listen(new URL(issuer).port, '127.0.0.1', () => console.log('ready'));
