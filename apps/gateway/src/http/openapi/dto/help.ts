/** What `/help` answers, for the OpenAPI page. */
import { ApiProperty, ApiPropertyOptional, ApiSchema } from '@nestjs/swagger';

@ApiSchema({ name: 'HelpRoute' })
export class HelpRoute {
  @ApiProperty({ type: 'string', example: 'POST /write' })
  route!: string;

  @ApiProperty({ type: 'string' })
  does!: string;

  @ApiProperty({ type: 'string' })
  takes!: string;

  @ApiPropertyOptional({
    type: 'object',
    additionalProperties: true,
    description: 'A body that works with the published configuration',
  })
  example?: object;
}

@ApiSchema({ name: 'Help' })
export class HelpAnswer {
  @ApiProperty({ type: 'string' })
  message!: string;

  @ApiProperty({ type: [HelpRoute] })
  routes!: HelpRoute[];

  @ApiProperty({ type: 'string', enum: ['success'] })
  status!: string;
}
