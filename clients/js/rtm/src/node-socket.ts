export { connect } from '@tidings/core/node-socket';
