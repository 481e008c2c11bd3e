// Instances of the deployment by the use of their GPUs; Azure Monitor looks once a minute.
// az deployment group create -g GROUP -f autoscale.bicep -p workspace=WORKSPACE

@description('The Azure Machine Learning workspace.')
param workspace string

@description('The endpoint, as in endpoint.yml.')
param endpoint string = 'nodegraph'

@description('The deployment, as in deployment.yml.')
param deployment string = 'blue'

param location string = resourceGroup().location

@minValue(1)
param minInstances int = 1

@minValue(1)
param maxInstances int = 4

resource onlineDeployment 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments@2024-10-01' existing = {
  name: '${workspace}/${endpoint}/${deployment}'
}

resource autoscale 'Microsoft.Insights/autoscaleSettings@2022-10-01' = {
  name: '${endpoint}-${deployment}'
  location: location
  properties: {
    enabled: true
    targetResourceUri: onlineDeployment.id
    profiles: [
      {
        name: 'by-gpu'
        capacity: {
          minimum: string(minInstances)
          maximum: string(maxInstances)
          default: string(minInstances)
        }
        rules: [
          {
            metricTrigger: {
              metricName: 'GpuUtilizationPercentage'
              metricResourceUri: onlineDeployment.id
              timeGrain: 'PT1M'
              statistic: 'Average'
              timeWindow: 'PT5M'
              timeAggregation: 'Average'
              operator: 'GreaterThan'
              threshold: 70
            }
            scaleAction: {
              direction: 'Increase'
              type: 'ChangeCount'
              value: '1'
              cooldown: 'PT10M'
            }
          }
          {
            metricTrigger: {
              metricName: 'GpuUtilizationPercentage'
              metricResourceUri: onlineDeployment.id
              timeGrain: 'PT1M'
              statistic: 'Average'
              timeWindow: 'PT15M'
              timeAggregation: 'Average'
              operator: 'LessThan'
              threshold: 20
            }
            scaleAction: {
              direction: 'Decrease'
              type: 'ChangeCount'
              value: '1'
              cooldown: 'PT10M'
            }
          }
        ]
      }
    ]
  }
}
