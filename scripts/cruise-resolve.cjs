/**
 * Shows dependency-cruiser where `#common/...` leads among the sources: package.json's own "imports" lead to the built files.
 */
const path = require('node:path');

module.exports = {
  resolve: { alias: { '#common': path.join(__dirname, '../libs/common/src') }, importsFields: [] },
};
