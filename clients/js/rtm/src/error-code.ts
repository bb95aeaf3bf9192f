/** The side file `error-code`: every numeric constant of the API. */
import { RTM_ERROR_CODES } from '@tidings/core';

export default { ...RTM_ERROR_CODES };
